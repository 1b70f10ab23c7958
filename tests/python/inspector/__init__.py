"""What the inspector tells of a loop: to the program, to who asks from outside, to Prometheus."""
