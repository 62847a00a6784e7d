"""What can be known before a task is made: facts are gathered, then judged. Makes nothing."""
