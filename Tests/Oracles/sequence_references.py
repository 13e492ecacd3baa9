"""Token sequences a second time: a layout's marks, codes and labels written out from the notes in a few lines of Python."""

import numpy as np

from position_references import transformers_ids


class Reference:
    """The layouts again: (marks, codes, labels) written out from the notes, with the real text tokenizer."""

    def __init__(self, path):
        from tokenizers import Tokenizer

        self.tokenizer = Tokenizer.from_file(str(path))
        self.tokenizer.encode_special_tokens = True

    def id(self, token):
        return token if isinstance(token, int) else self.tokenizer.token_to_id(token)

    def text(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def image(self, layout, codes):
        """ids, and which of them are of the grid."""
        height, width = codes.shape
        ids = [self.id(token) for token in layout.get("begin_of_image", [])]
        size = layout.get("size", {})
        if "text" in size:
            ids += self.text(size["text"].format(height=height, width=width))
        elif size:
            for side in (height, width):
                number = size["base"] + side // size["divisor"]
                ids.append(self.id(size["token"].replace("{}", f"{number:0{size['digits']}}")))
        ids += [self.id(token) for token in layout.get("begin_of_codes", [])]
        start, line = len(ids), layout.get("end_of_line")
        for row in range(height):
            ids += [int(code) + layout["codes"]["offset"] for code in codes[row]]
            if line and (row < height - 1 or line["policy"] == "every"):
                ids.append(self.id(line["token"]))
        end = len(ids)
        ids += [self.id(token) for token in layout.get("end_of_frame", []) + layout.get("end_of_image", [])]
        return ids, start, end

    def document(self, layout, parts):
        ids = [self.id(token) for token in layout.get("begin_of_document", [])]
        spans, grids = [], []
        for part in parts:
            if isinstance(part, str):
                ids += self.text(part)
            else:
                image, start, end = self.image(layout, part)
                spans.append([len(ids) + start, len(ids) + end])
                grids.append([1, *part.shape])
                ids += image
        ids += [self.id(token) for token in layout.get("end_of_document", [])]
        return ids, spans, grids

    def arrays(self, layout, parts):
        """Every column of a document's row: ids, labels, masks, kinds, spans, grids, ends, M-RoPE and plain positions."""
        ids, spans, grids = self.document(layout, parts)
        kinds, learned = np.zeros(len(ids), np.uint8), np.ones(len(ids), bool)
        segments, gaps, last = [], [], 0
        lines = layout.get("end_of_line")
        for (start, end), (_, height, width) in zip(spans, grids):
            kinds[start:end] = 1
            if start > last:
                segments.append({"text": start - last})
            # Ends of rows stand in the column behind the codes; the last one may be a place without a token.
            segments.append({"image": [height, width + bool(lines)]})
            if lines and lines["policy"] == "between":
                gaps.append(end + len(gaps))
            last = end
        if len(ids) > last:
            segments.append({"text": len(ids) - last})
        if layout.get("loss") == "codes":
            learned = (kinds == 1) & (np.array(ids) >= layout["codes"]["offset"])
        return {
            "input_ids": np.array(ids, np.int32),
            "labels": np.where(learned, ids, -100),
            "loss_mask": learned.astype(np.uint8),
            "position_ids": np.delete(transformers_ids("mrope", segments)[0], gaps, axis=1),
            "text_position_ids": np.arange(len(ids)),
            "mm_token_type_ids": kinds,
            "image_grid_thw": np.array(grids, np.int32).reshape(-1, 3),
            "image_spans": np.array(spans, np.int32).reshape(-1, 2),
            "doc_ends": np.array([len(ids)]),
        }
