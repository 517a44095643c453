package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"google.golang.org/grpc/codes"

	"pitboss/decide"
	"pitboss/features"
	"pitboss/features/edge"
)

// callError is a refusal of the server itself: bad JSON, no right, too much. Its message is for the caller.
type callError struct {
	kind    errorKind
	reason  string
	path    string
	message string
}

// Error gives the message.
func (e *callError) Error() string { return e.message }

func refuse(kind errorKind, reason, path, message string) *callError {
	return &callError{kind: kind, reason: reason, path: path, message: message}
}

var errNoBundle = errors.New("no bundle is active")

// errorKind is a line of the table below.
type errorKind uint8

const (
	kindInternal errorKind = iota
	kindInvalid
	kindUnauthenticated
	kindForbidden
	kindNotFound
	kindGone
	kindConflict
	kindPrecondition
	kindTooLarge
	kindMediaType
	kindMethod
	kindBusy
	kindUnavailable
	kindDeadline
	kindCanceled
	kindSlow
	kindNotBuilt
)

// wireCode is how an error leaves by each transport.
type wireCode struct {
	grpc  codes.Code
	http  int
	retry time.Duration
}

// retryAfter is when a caller that was turned away may come back.
const retryAfter = time.Second

// statusClientGone is what nginx logs for a caller that went away; nobody receives it.
const statusClientGone = 499

// wire is the table of what each kind of error is on the wire.
func (k errorKind) wire() wireCode {
	switch k {
	case kindInvalid:
		return wireCode{codes.InvalidArgument, http.StatusBadRequest, 0}
	case kindUnauthenticated:
		return wireCode{codes.Unauthenticated, http.StatusUnauthorized, 0}
	case kindForbidden:
		return wireCode{codes.PermissionDenied, http.StatusForbidden, 0}
	case kindNotFound:
		return wireCode{codes.NotFound, http.StatusNotFound, 0}
	case kindGone:
		return wireCode{codes.NotFound, http.StatusGone, 0}
	case kindConflict:
		return wireCode{codes.AlreadyExists, http.StatusConflict, 0}
	case kindPrecondition:
		return wireCode{codes.FailedPrecondition, http.StatusConflict, 0}
	case kindTooLarge:
		return wireCode{codes.ResourceExhausted, http.StatusRequestEntityTooLarge, 0}
	case kindMediaType:
		return wireCode{codes.InvalidArgument, http.StatusUnsupportedMediaType, 0}
	case kindMethod:
		return wireCode{codes.Unimplemented, http.StatusMethodNotAllowed, 0}
	case kindBusy:
		return wireCode{codes.ResourceExhausted, http.StatusTooManyRequests, retryAfter}
	case kindUnavailable:
		return wireCode{codes.Unavailable, http.StatusServiceUnavailable, retryAfter}
	case kindDeadline:
		return wireCode{codes.DeadlineExceeded, http.StatusGatewayTimeout, 0}
	case kindCanceled:
		return wireCode{codes.Canceled, statusClientGone, 0}
	case kindSlow:
		return wireCode{codes.DeadlineExceeded, http.StatusRequestTimeout, 0}
	case kindNotBuilt:
		return wireCode{codes.Unimplemented, http.StatusNotImplemented, 0}
	case kindInternal:
	}
	return wireCode{codes.Internal, http.StatusInternalServerError, 0}
}

// sentinels is the table of the errors that other packages give and a caller can do something about. Everything else is
// internal: it is logged, and its text stays here.
func sentinels() []struct {
	err     error
	kind    errorKind
	reason  string
	message string
} {
	return []struct {
		err     error
		kind    errorKind
		reason  string
		message string
	}{
		{
			features.ErrConflict, kindConflict, "CONFLICT",
			"another event was accepted under this event_id; an event is never changed: send a correction with " +
				"supersedes_event_id and an id of its own",
		},
		{
			features.ErrDuplicateTransaction, kindConflict, "DUPLICATE_TRANSACTION",
			"this transaction was accepted under another event_id; nothing was applied",
		},
		{
			features.ErrNotWritten, kindUnavailable, "NOT_WRITTEN",
			"the event is not known to be written; send it again under the same event_id",
		},
		{features.ErrUnavailable, kindUnavailable, "UNAVAILABLE", "recovering; send it again under the same event_id"},
		{features.ErrClosed, kindUnavailable, "STOPPING", "the server is stopping; ask another, or again later"},
		{features.ErrRecordErased, kindGone, "ERASED", "the decision was made, and its subject erased since"},
		{features.ErrNoRecord, kindNotFound, "NO_SUCH_DECISION", "no decision is known by this id"},
		{decide.ErrNotScored, kindPrecondition, "NO_SCORE", "the decision has no score to explain, or its reasons were skipped"},
		{decide.ErrNoReference, kindPrecondition, "NO_REFERENCE", "the bundle that decided has no reference sample (reference.csv) to compare with"},
		{decide.ErrNoAttribution, kindPrecondition, "NO_ATTRIBUTION", "the model that decided has no such explanation, or is too large for it; try fewer background rows"},
		{ErrBundleRefused, kindPrecondition, "BUNDLE_REFUSED", "the bundle is refused, the log says why; the one before serves on"},
		{ErrBundleWaits, kindPrecondition, "BUNDLE_WAITS", "a bundle that was loaded before waits for its backfill; ask again when it serves"},
		{errNoBundle, kindUnavailable, "NO_MODEL", "no bundle is active"},
		{context.DeadlineExceeded, kindDeadline, "DEADLINE", "not done inside the deadline"},
		{context.Canceled, kindCanceled, "CANCELED", "the caller went away"},
	}
}

// toCallError gives the error as it leaves. known is false for an internal one, whose own text goes to the log.
func toCallError(err error) (out *callError, known bool) {
	if own, ok := errors.AsType[*callError](err); ok {
		return own, true
	}
	if refused, ok := errors.AsType[*edge.Error](err); ok {
		return refuse(kindInvalid, string(refused.Reason), refused.Path, refused.Message), true
	}
	for _, s := range sentinels() {
		if errors.Is(err, s.err) {
			return refuse(s.kind, s.reason, "", s.message), true
		}
	}
	return refuse(kindInternal, "INTERNAL", "", "internal error; the operator finds it in the log by the request_id"), false
}
