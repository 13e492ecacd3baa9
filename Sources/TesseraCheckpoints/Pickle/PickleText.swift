/// Small values of a pickle as text, in the way of JSON.
enum PickleText {
  /// The longest text that is shown as an attribute, the most elements of a list and its most bytes.
  static let limits = (text: 1000, elements: 64, list: 4096)

  /// A number, truth value or short text; nil for anything else.
  static func scalar(_ node: PickleNode, in tree: PickleTree) -> String? {
    switch tree[node] {
    case .boolean(let value): value ? "true" : "false"
    case .integer(let value): String(value)
    case .float(let value): "\(value)"
    case .text(let text) where text.utf8.count <= limits.text: text
    case .global(let global): global.description
    case .record(let record):
      NumpyPickle(tree: tree).scalarText(record) ?? builtIn(record, in: tree)
    default: nil
    }
  }

  /// `torch.device('cpu')`, `torch.Size`, paths: a name and its short arguments.
  private static func builtIn(_ record: PickleRecord, in tree: PickleTree) -> String? {
    guard record.state == nil, record.elements.isEmpty, record.entries.isEmpty,
      let name = tree.global(record.constructor),
      ["torch.device", "torch.Size", "pathlib.PosixPath", "builtins.complex"]
        .contains(name.description),
      case .tuple(let arguments) = tree[record.arguments], arguments.count <= 16
    else { return nil }
    let parts = arguments.compactMap { argument -> String? in
      // Plain values alone: a record among them could hold the one that is shown.
      let inner = tree.elements(argument) ?? []
      guard tree.record(argument) == nil,
        inner.prefix(limits.elements).allSatisfy({ tree.record($0) == nil })
      else { return nil }
      return scalar(argument, in: tree) ?? list(argument, in: tree)
    }
    return parts.count == arguments.count ? parts.joined(separator: ", ") : nil
  }

  /// A list or tuple of scalars as `[0.9, 0.999]`; nil where it is long or holds anything else.
  static func list(_ node: PickleNode, in tree: PickleTree) -> String? {
    guard let elements = tree.elements(node), elements.count <= limits.elements else { return nil }
    var parts: [String] = []
    var bytes = 0
    for element in elements {
      if case .text(let text) = tree[element], text.utf8.count <= limits.text {
        parts.append("\"\(text)\"")
      } else if tree[element] == .none {
        parts.append("null")
      } else if let part = scalar(element, in: tree) {
        parts.append(part)
      } else {
        return nil
      }
      // One list may be met on every path through the tree.
      bytes += parts.last?.utf8.count ?? 0
      guard bytes <= limits.list else { return nil }
    }
    return "[\(parts.joined(separator: ", "))]"
  }

  /// What stands in a dotted name for a key.
  static func component(_ key: PickleNode, in tree: PickleTree) -> String? {
    switch tree[key] {
    case .text(let text): text
    case .none: "None"
    case .tuple: list(key, in: tree)
    default: scalar(key, in: tree)
    }
  }
}
