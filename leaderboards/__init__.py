"""What is shown: runs, answers, boards, comparisons."""
