// Package credentials proves to a server who is calling.
//
// The words: an [Auth] says in which way, as the keys of a config file do; a
// [Source] is what it makes of that: the header authorization of each call. A
// login is what it takes to get a token of an OpenID Connect provider; one that
// needs a person needs a [Terminal], and what comes of it can be kept in a
// [Cache] from one program to the next.
//
//	source, err := credentials.New(auth, credentials.Options{Server: "armada.example:443"})
//	header, err := source.Authorization(ctx)
//
// A source fetches a token when it is needed first, and again shortly before it
// ends. It may be used by many goroutines, of which one fetches for all.
//
// The package never puts a password, a token or a ticket into an error, and prints
// nothing but what a person needs for a login, on the terminal it is given.
package credentials
