"""What the tests share: loops, programs of their own, protocols that record, Qt objects."""
