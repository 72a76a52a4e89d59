package cli

import (
	"encoding/json"

	"github.com/droverhq/drover/internal/client/manifest"
)

// readDocuments reads what -f names.
func (c *cli) readDocuments(files []string) ([]manifest.Document, error) {
	if len(files) == 0 {
		return nil, usagef("-f is needed: a file or folder of documents, or - for standard input")
	}
	return manifest.Read(files, c.Stdin)
}

// texts are the documents as they are sent.
func texts(documents []manifest.Document) []json.RawMessage {
	out := make([]json.RawMessage, len(documents))
	for i, d := range documents {
		out[i] = d.JSON
	}
	return out
}
