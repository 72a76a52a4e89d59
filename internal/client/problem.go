package client

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"

	"github.com/droverhq/drover/internal/resource"
)

// problem is application/problem+json (RFC 9457) as the server writes it.
type problem struct {
	Title  string                `json:"title"`
	Detail string                `json:"detail"`
	Code   resource.Code         `json:"code"`
	Errors []resource.FieldError `json:"errors"`
}

// accept returns a successful answer. Any other it closes, and returns what the
// server said as a *resource.Error.
func accept(resp *http.Response) (*http.Response, error) {
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, refusal(resp)
}

func refusal(resp *http.Response) error {
	body, err := readLimited(resp.Body, maxProblem)
	if err != nil {
		return resource.Errorf(resource.CodeOfStatus(resp.StatusCode), "%s (and its explanation could not be read: %v)", resp.Status, err)
	}
	var p problem
	typ, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if typ != "application/problem+json" || json.Unmarshal(body, &p) != nil {
		return resource.Errorf(resource.CodeOfStatus(resp.StatusCode), "%s", foreign(resp, body))
	}
	e := &resource.Error{Code: p.Code, Detail: p.Detail, Fields: p.Errors}
	if e.Code == "" {
		e.Code = resource.CodeOfStatus(resp.StatusCode)
	}
	if e.Detail == "" && len(e.Fields) == 0 {
		e.Detail = p.Title
	}
	return e
}

// foreign describes an answer that Drover's API never gives: something else listens there.
func foreign(resp *http.Response, body []byte) string {
	if resp.StatusCode/100 == 3 {
		return fmt.Sprintf("%s: the server points to %q, which is not followed; give the right --server", resp.Status, resp.Header.Get("Location"))
	}
	if strings.Contains(string(body), "HTTP request to an HTTPS server") {
		return "the server speaks TLS: write --server https://…"
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	if len(first) > 200 {
		first = first[:200] + "…"
	}
	return fmt.Sprintf("%s: %q; is this a Drover server?", resp.Status, first)
}
