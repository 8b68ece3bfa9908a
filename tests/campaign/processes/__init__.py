"""Programs that the campaign starts as processes of their own."""
