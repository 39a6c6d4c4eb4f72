"""What a recipe would have done in the past: models fitted on earlier rows answer for later ones."""
