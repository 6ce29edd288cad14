package proxyd

import (
	"encoding/json"
	"errors"

	"github.com/danielgtaylor/huma/v2"

	"github.com/damrey/damrey/internal/syntax"
)

// jsonFormat reads bodies, and says where one is broken.
var jsonFormat = huma.Format{
	Marshal: huma.DefaultJSONFormat.Marshal,
	Unmarshal: func(data []byte, v any) error {
		err := json.Unmarshal(data, v)
		if words, ok := syntax.JSON(data, err); ok {
			return errors.New(words)
		}
		return err
	},
}
