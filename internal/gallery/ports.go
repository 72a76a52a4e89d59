package gallery

import "context"

// Action is what a caller does with an image.
type Action string

const (
	Pull   Action = "pull"
	Push   Action = "push"
	Delete Action = "delete"
)

// Guard knows callers by their secrets.
type Guard interface {
	// Authenticate returns whose secret it is; an error with the code
	// unauthenticated when it is nobody's.
	Authenticate(ctx context.Context, secret string) (Caller, error)
}

// Caller is somebody who was authenticated.
type Caller interface {
	// Name is what the log calls the caller.
	Name() string
	// May reports whether the caller may do that with that image.
	May(a Action, image string) bool
}
