"""What runs in AWS Lambda. It is deployed alone: nothing here imports `app/`, nor the other way round."""
