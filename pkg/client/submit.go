package client

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/oklog/ulid/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"armada/pkg/api"
)

// MaxJobsPerRequest is how many jobs [Client.Submit] puts into one request.
const MaxJobsPerRequest = 200

// Submit hands jobs in and returns their ids in the order of the items. The
// items go in requests of at most [MaxJobsPerRequest]; each request is taken
// whole or not at all. When one fails the ids of the jobs before it are
// returned together with the error, and the jobs after it were not handed in.
//
// An item without a client id is sent with a new one, so that a request that is
// repeated makes no job twice. The items themselves are left as they are: to
// repeat a call of Submit in the same way, set client ids of your own.
func (c *Client) Submit(ctx context.Context, queue, jobSet string, items []*api.JobSubmitRequestItem) ([]string, error) {
	ids := make([]string, 0, len(items))
	for len(ids) < len(items) {
		request := &api.JobSubmitRequest{Queue: queue, JobSetId: jobSet}
		rest := items[len(ids):]
		for size := 0; len(request.JobRequestItems) < min(MaxJobsPerRequest, len(rest)); {
			item, err := withClientID(rest[len(request.JobRequestItems)])
			if err != nil {
				return ids, err
			}
			if size += proto.Size(item); size > mostSent && len(request.JobRequestItems) > 0 {
				break
			}
			request.JobRequestItems = append(request.JobRequestItems, item)
		}
		answer, err := c.Submitter.SubmitJobs(ctx, request)
		if err != nil {
			return ids, &SubmitError{First: len(ids), Last: len(ids) + len(request.JobRequestItems) - 1, Err: err}
		}
		if got := len(answer.GetJobResponseItems()); got != len(request.JobRequestItems) {
			return ids, fmt.Errorf("submit jobs: the server answered about %d of %d jobs", got, len(request.JobRequestItems))
		}
		for i, item := range answer.GetJobResponseItems() {
			if item.GetError() != "" {
				return ids, fmt.Errorf("submit jobs: job_request_items[%d]: %s", len(ids)+i, item.GetError())
			}
		}
		for _, item := range answer.GetJobResponseItems() {
			ids = append(ids, item.GetJobId())
		}
	}
	return ids, nil
}

// SubmitError is the failure of one request of a [Client.Submit].
type SubmitError struct {
	// First and Last are the indexes of the items that were in the request:
	// job_request_items[0] of a violation is the item First.
	First, Last int
	Err         error
}

func (e *SubmitError) Error() string {
	if e.First == e.Last {
		return fmt.Sprintf("submit job %d: %v", e.First, e.Err)
	}
	return fmt.Sprintf("submit jobs %d to %d: %v", e.First, e.Last, e.Err)
}

func (e *SubmitError) Unwrap() error { return e.Err }

// withClientID is item, or a shallow copy of it with a client id.
func withClientID(item *api.JobSubmitRequestItem) (*api.JobSubmitRequestItem, error) {
	if item.GetClientId() != "" {
		return item, nil
	}
	id, err := ulid.New(ulid.Now(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a client id: %w", err)
	}
	named := &api.JobSubmitRequestItem{}
	item.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		named.ProtoReflect().Set(field, value)
		return true
	})
	named.ClientId = strings.ToLower(id.String())
	return named, nil
}
