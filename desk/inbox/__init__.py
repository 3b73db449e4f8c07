"""The durable inbox: accept messages, queue them, hand them to workers, and requeue those of lost workers."""
