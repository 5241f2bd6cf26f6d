"""The wall: student code on one side, tests on the other, a small wire between them."""
