"""The contact centre: a card for each customer, made ahead of time, and how well calls are answered."""
