"""What serving decides. `splitting`: which arm a row goes to. `plans`: which plan counts. `records`: what is logged."""
