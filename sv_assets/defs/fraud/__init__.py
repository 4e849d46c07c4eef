"""The fraud team: signals, scores, cases, the model and how well all of it does."""
