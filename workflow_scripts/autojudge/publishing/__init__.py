"""Publishing: an exported judge and mined labels as repositories of the Hugging Face Hub, and labels of others back."""
