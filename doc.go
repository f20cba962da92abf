// Package armada is the vocabulary of Armada: the nouns that every other
// package shares and the rules about one value of each. It imports the
// standard library only, reads no clock and does no I/O.
package armada
