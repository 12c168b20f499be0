"""From problems to token ids and what they earned: episodes, chat formats, the collector, records."""
