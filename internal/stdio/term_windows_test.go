package stdio_test

// ignoreTerm does nothing: nobody asks a process to end here.
func ignoreTerm() {}
