package imds

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	jsonType = "application/json; charset=utf-8"
	textType = "text/plain; charset=utf-8"
)

// reply is a whole answer.
type reply struct {
	status      int
	contentType string
	body        []byte
	header      string // one more header, with its value
	value       string
}

func (a reply) write(w http.ResponseWriter) {
	if a.header != "" {
		w.Header().Set(a.header, a.value)
	}
	if a.contentType != "" {
		w.Header().Set("Content-Type", a.contentType)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // nobody is left to be told
}

// document is any value as Azure writes it: signs of HTML as they are.
func document(v any) reply { return encode(http.StatusOK, v) }

func encode(status int, v any) reply {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return serverError() // texts, numbers and what is made of them always encode
	}
	return reply{status: status, contentType: jsonType, body: bytes.TrimSuffix(b.Bytes(), []byte("\n"))}
}

func text(s string) reply {
	return reply{status: http.StatusOK, contentType: textType, body: []byte(s)}
}

// failure is the body of every error. It has nothing in it that the client sent.
type failure struct {
	Error  string   `json:"error"`
	Newest []string `json:"newest-versions,omitempty"`
}

func badRequest(why string) reply {
	return encode(http.StatusBadRequest, failure{Error: "Bad request. " + why})
}

func badVersion(versions []string) reply {
	return encode(http.StatusBadRequest, failure{
		Error:  "Bad request. api-version is invalid or was not specified in the request",
		Newest: newest(versions),
	})
}

func notFound() reply { return encode(http.StatusNotFound, failure{Error: "Not found"}) }

func notAllowed(methods []string) reply {
	a := encode(http.StatusMethodNotAllowed, failure{Error: "Not allowed"})
	a.header, a.value = "Allow", strings.Join(methods, ", ")
	return a
}

func tooMany(wait time.Duration) reply {
	a := encode(http.StatusTooManyRequests, failure{Error: "Too many requests"})
	a.header, a.value = "Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds())))
	return a
}

func serverError() reply {
	return reply{status: http.StatusInternalServerError, contentType: jsonType, body: []byte(`{"error":"Server error"}`)}
}
