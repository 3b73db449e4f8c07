"""The durable inbox: acceptance, queue, recovery, failed messages, and the language of the desk's texts."""
