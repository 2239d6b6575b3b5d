"""Image files in and out, and the steps from what a file holds to an image that the physics takes."""
