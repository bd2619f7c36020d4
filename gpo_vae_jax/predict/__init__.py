"""What a trained model says about cells: any perturbation, library size and quality."""
