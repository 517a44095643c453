package feed

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"pitboss/features/edge"
	pb "pitboss/proto/pitboss/v1"
)

// refusal is why a record becomes a dead letter: a stable reason, the path of the field, a text.
type refusal struct {
	reason, path, message string
}

// ofTenant says whether the event may come over this topic at all.
func (f *Feed) ofTenant(msg *pb.Event) *refusal {
	if len(f.cfg.Tenants) > 0 && !slices.Contains(f.cfg.Tenants, msg.GetTenant()) {
		return &refusal{"WRONG_TENANT", "event.tenant", fmt.Sprintf("tenant %q may not send over this topic", clip(msg.GetTenant()))}
	}
	return nil
}

// refusalOf turns what the edge says into a dead letter's reason.
func refusalOf(err error) *refusal {
	if e, ok := errors.AsType[*edge.Error](err); ok {
		return &refusal{string(e.Reason), e.Path, e.Message}
	}
	return &refusal{"UNACCEPTABLE", "", clip(err.Error())}
}

// clip keeps a text that may quote hostile input short.
func clip(s string) string {
	const most = 300
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
