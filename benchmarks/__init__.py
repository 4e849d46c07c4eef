"""What `sv bench` runs: speed and memory on the embedded servers, each beside the limit measured in the same run."""
