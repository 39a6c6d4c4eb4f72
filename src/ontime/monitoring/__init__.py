"""What a deployed model was asked and answered, compared with what it was made from."""
