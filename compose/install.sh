#!/bin/sh
# Make the environment TARGET with one member of the workspace in it, and one of its extras if it is named: install.sh
# SERVICE TARGET [EXTRA], from the root of the repository. Every package comes as a wheel whose hash is in the lock; our own two wheels are built here, with a
# locked hatchling. The same commands work outside a container.
set -eu
service=$1
target=$2
extra=${3:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

case "$service" in
ingest | drift | trainer | gatekeeper | rollout | serving | mlflow) ;;
*) echo "install.sh: SERVICE is one of ingest, drift, trainer, gatekeeper, rollout, serving, mlflow" >&2; exit 2 ;;
esac

# Tools, in an environment of their own that does not leave this stage.
python3 -m venv "$work/tools"
echo 'uv' | python3 compose/select_lock.py requirements.lock > "$work/uv.lock"
"$work/tools/bin/python" -m pip install --quiet --require-hashes --no-deps --only-binary :all: -r "$work/uv.lock"
uv=$work/tools/bin/uv

# The names that are needed come from a resolution under the lock's versions, the hashes from the lock itself.
locked() {
    "$uv" pip compile --quiet --no-header --no-annotate --constraint requirements.lock \
        --python "$work/tools/bin/python" --no-emit-package everloop "$@" > "$work/names"
    python3 compose/select_lock.py requirements.lock < "$work/names"
}

python3 -m venv --without-pip "$target"
if [ "$service" = mlflow ]; then
    cp compose/mlflow.lock "$work/member.lock"
else
    locked "services/$service/pyproject.toml" ${extra:+--extra "$extra"} > "$work/member.lock"
fi
"$uv" pip install --quiet --python "$target/bin/python" --require-hashes --no-deps --only-binary :all: --compile-bytecode \
    -r "$work/member.lock"
[ "$service" = mlflow ] && exit 0

echo 'hatchling' > "$work/hatchling.in"
locked "$work/hatchling.in" > "$work/build.lock"
"$uv" pip install --quiet --python "$work/tools/bin/python" --require-hashes --no-deps --only-binary :all: -r "$work/build.lock"
"$work/tools/bin/python" -m pip wheel --quiet --no-deps --no-index --no-build-isolation --wheel-dir "$work/wheels" \
    ./shared "./services/$service"
"$uv" pip install --quiet --python "$target/bin/python" --no-deps --offline --no-index --compile-bytecode "$work"/wheels/*.whl
