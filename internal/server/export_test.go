package server

// KindOf returns how the calls of a method count, in words.
func KindOf(method string) string { return callKindNames[kindOf(method)] }
