"""What `JudgeReward` is made of: the question (`prompt`) and what was answered (`cache`)."""
