"""An AWS account and the programs around it, as far as `aidlc-deploy` can see them.

It moves on only when it is looked at, so every run of the same command is the same run.
Where its behaviour is AWS's, the documentation or AWS's literal message is quoted. What it does not
know it refuses: a call that no real test has seen must not pass in silence.
"""
