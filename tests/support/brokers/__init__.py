"""Kafka and RabbitMQ for development and tests: real brokers on this machine, or those that the environment names."""
