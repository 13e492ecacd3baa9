"""Position ids by other people's code and by formula.

`transformers_ids` calls the real `get_rope_index` of Qwen2-VL, Qwen2.5-VL and Qwen3-VL. `formula_ids` writes out the
schemes that no library has: Su Jianlin's RoPE-Tie and RoPE-TV (spaces.ac.cn 10040 and 10352), the plain 1-D and 2-D
ids, V2PE, and M-RoPE with Qwen's first rule behind a video (text goes on at the maximum + 1; transformers 5 reuses ids
there, so its functions are asked about videos only at the end of a document).

A document is a list of segments as the program reads them.
"""

import types

import numpy as np


def transformers_ids(scheme, segments, tokens_per_second=2):
    """[3, tokens] and delta; images and videos stand between texts, a video last."""
    import torch
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLModel
    from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VLModel
    from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLModel

    model = {"mrope": Qwen2VLModel, "mrope-time": Qwen2_5_VLModel, "mrope-frame": Qwen3VLModel}[scheme]
    merge = 2  # as in the released configurations; grids are given before the merge
    kinds, images, videos, seconds = [], [], [], []
    for segment in segments:
        if "text" in segment:
            kinds += [0] * segment["text"]
        elif "image" in segment:
            height, width = segment["image"]
            kinds += [1] * (height * width)
            images.append([1, height * merge, width * merge])
        else:
            frames, height, width = segment["video"]
            kinds += [2] * (frames * height * width)
            videos.append([frames, height * merge, width * merge])
            seconds.append(segment.get("seconds_per_grid", 1.0))
    vision = types.SimpleNamespace(spatial_merge_size=merge, tokens_per_second=tokens_per_second)
    stand_in = types.SimpleNamespace(config=types.SimpleNamespace(vision_config=vision))
    stand_in.get_vision_position_ids = types.MethodType(model.get_vision_position_ids, stand_in)
    options = {"second_per_grid_ts": torch.tensor(seconds)} if scheme == "mrope-time" and seconds else {}
    ids, delta = model.get_rope_index(
        stand_in,
        torch.zeros(1, len(kinds), dtype=torch.long),
        torch.tensor([kinds]),
        torch.tensor(images) if images else None,
        torch.tensor(videos) if videos else None,
        **options,
    )
    return ids[:, 0].numpy(), int(delta)


def glm_image_ids(prompt, grids):
    """[3, tokens] of the real GLM-Image: a prompt whose last token starts the image, then the decoded grids.

    `prompt` is a list of segments that ends in text; `grids` are decoded in order, then comes one end marker.
    """
    import torch
    from transformers.models.glm_image.modeling_glm_image import GlmImageModel

    start, end = 7, 8
    ids, sources = [], []
    for segment in prompt:
        if "text" in segment:
            ids += [1] * segment["text"]
        else:  # an image stands between its own two markers, which are text
            height, width = segment["image"]
            ids[-1] = start
            ids += [2] * (height * width)
            sources.append([1, height, width])
    for index, kind in enumerate(ids):
        if kind == 2 and (index + 1 == len(ids) or ids[index + 1] != 2):
            ids[index + 1] = end
    stand_in = types.SimpleNamespace(config=types.SimpleNamespace(image_start_token_id=start, image_end_token_id=end))
    stand_in.get_vision_position_ids = types.MethodType(GlmImageModel.get_vision_position_ids, stand_in)
    table = torch.tensor(sources + [[1, *grid] for grid in reversed(grids)])
    prefill, _ = GlmImageModel.get_rope_index(stand_in, torch.tensor([ids]), table)
    return np.concatenate([prefill[:, 0].numpy(), stand_in._cached_decode_position_ids[0].numpy()], axis=1)


def _grid(segment):
    frames, height, width = segment["video"] if "video" in segment else [1, *segment["image"]]
    indices = np.indices((frames, height, width)).reshape(3, -1)
    return (frames, height, width), indices


def _axes(scheme, segments):
    if scheme in ("rope1d", "v2pe"):
        return 1
    if scheme.startswith("mrope"):
        return 3
    return 3 if any("video" in segment for segment in segments) and scheme != "rope2d" else 2


def formula_ids(scheme, segments, origin=None, tokens_per_second=2, stride=None):
    """[axes, tokens] in float64, and the position of the next text token."""
    first = origin if origin is not None else 1 if scheme in ("tie", "tie-fractional", "tv") else 0
    axes = _axes(scheme, segments)
    rows, text = [], 0 if scheme == "rope2d" else first
    for segment in segments:
        if "text" in segment:
            count = segment["text"]
            step = 0 if scheme == "rope2d" else 1
            rows.append(np.tile(text + step * np.arange(count), (axes, 1)))
            text += step * count
            continue
        (f, h, w), (frame, row, column) = _grid(segment)
        n, last = f * h * w, text - 1
        if scheme == "rope1d":
            ids, text = [text + np.arange(n)], text + n
        elif scheme == "v2pe":
            ids, text = [last + np.arange(1, n + 1) * stride / n], last + stride + 1
        elif scheme == "rope2d":
            ids = [first + row, first + column]
        elif scheme == "tie":
            t = f + 1 if axes == 3 else 1
            s = [(w + 1) * t, (h + 1) * t, (h + 1) * (w + 1)]
            ids = [last + (row + 1) * s[0], last + (column + 1) * s[1], last + (frame + 1) * s[2]]
            text = last + (h + 1) * (w + 1) * t
        elif scheme == "tie-fractional":
            ids = [last + (x + 1) * (n + 1) / (size + 1) for x, size in ((row, h), (column, w), (frame, f))]
            text = last + n + 1
        elif scheme == "tv":
            ids = [last + (n - size) / 2 + x + 1 for x, size in ((row, h), (column, w), (frame, f))]
            text = last + n + 1
        else:
            interval = np.float32(1)
            if scheme == "mrope-time" and "video" in segment:
                interval = np.float32(tokens_per_second) * np.float32(segment["seconds_per_grid"])
            if scheme == "mrope-frame":
                shift = frame * max(h, w)
                ids = [text + shift, text + shift + row, text + shift + column]
            else:
                ids = [text + np.floor(frame.astype(np.float32) * interval), text + row, text + column]
            text = int(np.max(ids)) + 1
        rows.append(np.asarray(ids[:axes], np.float64))
    return np.concatenate(rows, axis=1).astype(np.float64), text


def random_document(random, video=None):
    """Texts with images between them; `video`: None, "last" or "anywhere"."""
    segments = [{"text": int(random.integers(1, 9))}]
    count = int(random.integers(0, 4))
    for index in range(count):
        if video == "anywhere" and random.random() < 0.5:
            segments.append(_video(random))
        else:
            segments.append({"image": [int(x) for x in random.integers(1, 9, 2)]})
        segments.append({"text": int(random.integers(1, 9))})
    if video == "last":
        segments.append(_video(random))
    return segments


def _video(random):
    extents = [int(random.integers(1, 9)), *(int(x) for x in random.integers(1, 7, 2))]
    return {"video": extents, "seconds_per_grid": float(random.choice([0.1, 0.25, 0.5, 1.0, 1.7, 2.0]))}
