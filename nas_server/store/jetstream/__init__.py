"""The store of a NATS cluster: JetStream."""
