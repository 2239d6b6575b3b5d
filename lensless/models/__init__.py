"""Networks, and the reconstructions composed of them."""
