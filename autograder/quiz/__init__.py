"""Quizzes: banks of questions, the sheets drawn from them, what an answer earns, and what others read of them."""
