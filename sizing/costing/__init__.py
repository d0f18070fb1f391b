"""What running a model here costs, against an API and against rented GPUs; pure."""
