package client

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"
)

// Caller is who the caller is to the server.
type Caller struct {
	Name   string   // empty when the server takes calls that prove something only, and this one did not
	Groups []string // beside everyone
	Method string   // how it was proven, such as basic or kerberos
}

// Authenticate gets what proves to the server who is calling. Where a person has to
// log in for that it takes as long as that takes; calls made afterwards do not wait
// for it.
func (c *Client) Authenticate(ctx context.Context) error {
	if c.source == nil {
		return nil
	}
	_, err := c.source.Authorization(ctx)
	return err
}

// WhoAmI asks the server who the caller is. The error is UNAUTHENTICATED when the
// server does not take what the caller proves it by.
func (c *Client) WhoAmI(ctx context.Context) (Caller, error) {
	ctx, cancel := withDefault(ctx, 10*time.Second)
	defer cancel()
	var header metadata.MD
	if _, err := c.Submitter.Health(ctx, &emptypb.Empty{}, grpc.Header(&header)); err != nil {
		return Caller{}, fmt.Errorf("ask %s who is calling: %w", c.address, err)
	}
	who := Caller{Name: strings.Join(header.Get("armada-caller-bin"), ""), Method: strings.Join(header.Get("armada-caller-method"), "")}
	if groups := strings.Join(header.Get("armada-caller-groups-bin"), ""); groups != "" {
		who.Groups = strings.Split(groups, "\n")
	}
	return who, nil
}
