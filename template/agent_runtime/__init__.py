"""What runs in Amazon Bedrock AgentCore. It is deployed alone: nothing here imports `app/`, nor the other way round."""
