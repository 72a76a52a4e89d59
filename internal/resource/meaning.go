package resource

import "net/http"

// Status is the HTTP status that the API answers a code with.
func (c Code) Status() int { return c.meaning().status }

// Title says what a code means, whatever the case at hand is.
func (c Code) Title() string { return c.meaning().title }

type meaning struct {
	status int
	title  string
}

// meaning is the table of codes. What is not in it is internal.
func (c Code) meaning() meaning {
	switch c {
	case CodeInvalid:
		return meaning{http.StatusBadRequest, "The request is not valid"}
	case CodeUnsupported:
		return meaning{http.StatusBadRequest, "Not yet supported"}
	case CodeUnauthenticated:
		return meaning{http.StatusUnauthorized, "A valid token is needed"}
	case CodeForbidden:
		return meaning{http.StatusForbidden, "The token does not allow this"}
	case CodeNotFound:
		return meaning{http.StatusNotFound, "Not found"}
	case CodeImageNotFound:
		return meaning{http.StatusNotFound, "There is no such image version"}
	case CodeMethodNotAllowed:
		return meaning{http.StatusMethodNotAllowed, "The method does not fit the path"}
	case CodeConflict:
		return meaning{http.StatusConflict, "In conflict with the present state"}
	case CodeAlreadyExists:
		return meaning{http.StatusConflict, "It exists already"}
	case CodeRolloutInProgress:
		return meaning{http.StatusConflict, "A rollout is running"}
	case CodeModelKnownBad:
		return meaning{http.StatusConflict, "The model is known to be bad"}
	case CodeNotRollbackable:
		return meaning{http.StatusConflict, "This rollout cannot be rolled back"}
	case CodeInvalidPhase:
		return meaning{http.StatusConflict, "The rollout's phase does not allow this"}
	case CodeVersionImmutable:
		return meaning{http.StatusConflict, "Versions never change"}
	case CodeInUse:
		return meaning{http.StatusConflict, "It is in use"}
	case CodeGone:
		return meaning{http.StatusGone, "Too far behind: list again"}
	case CodeRevisionConflict:
		return meaning{http.StatusPreconditionFailed, "The document has changed"}
	case CodeTooLarge:
		return meaning{http.StatusRequestEntityTooLarge, "The request is too large"}
	case CodeTooManyRequests:
		return meaning{http.StatusTooManyRequests, "Too many requests"}
	case CodeUnavailable:
		return meaning{http.StatusServiceUnavailable, "Not available at the moment"}
	case CodeInsufficientStorage:
		return meaning{http.StatusInsufficientStorage, "No disk space is left"}
	}
	return meaning{http.StatusInternalServerError, "Internal error"}
}

// CodeOfStatus is the code of an answer that names none: of a proxy, or of a
// registry's client that keeps only the status.
func CodeOfStatus(status int) Code {
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return CodeInvalid
	case http.StatusUnauthorized:
		return CodeUnauthenticated
	case http.StatusForbidden:
		return CodeForbidden
	case http.StatusNotFound:
		return CodeNotFound
	case http.StatusConflict:
		return CodeConflict
	case http.StatusGone:
		return CodeGone
	case http.StatusPreconditionFailed:
		return CodeRevisionConflict
	case http.StatusRequestEntityTooLarge:
		return CodeTooLarge
	case http.StatusTooManyRequests:
		return CodeTooManyRequests
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return CodeUnavailable
	case http.StatusInsufficientStorage:
		return CodeInsufficientStorage
	}
	return CodeInternal
}
