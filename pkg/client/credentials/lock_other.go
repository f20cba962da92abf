//go:build !unix

package credentials

import "context"

// lock holds nothing here: two programs that refresh a login at the same moment may
// each use its refresh token.
func (*Cache) lock(context.Context, string, *OpenIDAuth) (unlock func(), err error) {
	return func() {}, nil
}
