"""The single view: orders, interactions, consents, and the customer document over them."""
