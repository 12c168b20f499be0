"""What `JudgeReward` is made of: the question (`prompt`), the endpoint (`client`), and what was answered (`cache`)."""
