import TesseraCheckpoints
import TesseraCore

extension RecipeOperation {
  /// Reads an operation: a name, or an object of one name with its arguments.
  init(_ json: JSONValue, depth: Int = 0) throws(TesseraError) {
    if let name = json.string {
      self = try RecipeOperation.named(name)
      return
    }
    guard let object = json.object, object.count == 1, let (name, value) = object.first, depth < 4
    else {
      throw TesseraError.malformed(
        "an operation is a name, or an object of one name and its arguments"
      )
    }
    let arguments = RecipeArguments(name: name, value: value)
    switch name {
    case "permute": self = .permute(try arguments.integers(value))
    case "reshape": self = .reshape(try arguments.sizes(value))
    case "permute_blocks":
      self = .permuteBlocks(
        axis: try arguments.integer("axis"),
        order: try arguments.integers(value["order"])
      )
    case "split":
      self = .split(
        axis: try arguments.integer("axis"),
        sizes: try arguments.sizes(value["sizes"])
      )
    case "concatenate": self = .concatenate(axis: try arguments.integer(value))
    case "regroup":
      self = .regroup(
        axis: try arguments.integer("axis"),
        sizes: try arguments.sizes(value["sizes"]),
        from: try arguments.integers(value["from"]),
        to: try arguments.integers(value["to"])
      )
    case "each": self = .each(try arguments.chains(depth: depth + 1))
    case "affine":
      let (scale, offset) = try arguments.scaleAndOffset
      self = .affine(scale: scale, offset: offset)
    case "conjugate_pairs": self = .conjugatePairs(try arguments.integer(value))
    case "conjugate_half": self = .conjugateHalf(try arguments.integer(value))
    case "repeat":
      let (axis, count) = try arguments.axisAndCount
      self = .repeat(axis: axis, count: count)
    case "deduplicate":
      let (axis, count) = try arguments.axisAndCount
      self = .deduplicate(axis: axis, count: count)
    default: throw TesseraError.malformed("there is no operation '\(name)'")
    }
  }

  private static func named(_ name: String) throws(TesseraError) -> RecipeOperation {
    switch name {
    case "transpose": return .permute([1, 0])
    case "view_real": return .viewReal
    case "view_complex": return .viewComplex
    default:
      guard let map = ElementMap(rawValue: name) else {
        throw TesseraError.malformed("there is no operation '\(name)'")
      }
      return .map(map)
    }
  }

  /// The operation as recipes write it.
  var json: JSONValue {
    func list(_ numbers: [Int]) -> JSONValue { .array(numbers.map { .number(Double($0)) }) }
    func sizes(_ sizes: [SizeExpression]) -> JSONValue { .array(sizes.map(\.json)) }
    switch self {
    case .permute([1, 0]): return .string("transpose")
    case .permute(let axes): return .object(["permute": list(axes)])
    case .reshape(let extents): return .object(["reshape": sizes(extents)])
    case .permuteBlocks(let axis, let order):
      let arguments: JSONValue = .object(["axis": .number(Double(axis)), "order": list(order)])
      return .object(["permute_blocks": arguments])
    case .split(let axis, let extents):
      let arguments: JSONValue = .object(["axis": .number(Double(axis)), "sizes": sizes(extents)])
      return .object(["split": arguments])
    case .concatenate(let axis): return .object(["concatenate": .number(Double(axis))])
    case .regroup(let axis, let extents, let from, let to):
      let arguments: JSONValue = .object([
        "axis": .number(Double(axis)), "sizes": sizes(extents), "from": list(from), "to": list(to),
      ])
      return .object(["regroup": arguments])
    case .each(let chains):
      return .object(["each": .array(chains.map { .array($0.map(\.json)) })])
    case .map(let map): return .string(map.rawValue)
    case .affine(let scale, let offset):
      return .object(["affine": .object(["scale": .number(scale), "offset": .number(offset)])])
    case .viewReal: return .string("view_real")
    case .viewComplex: return .string("view_complex")
    case .conjugatePairs(let axis): return .object(["conjugate_pairs": .number(Double(axis))])
    case .conjugateHalf(let axis): return .object(["conjugate_half": .number(Double(axis))])
    case .repeat(let axis, let count):
      return .object([
        "repeat": .object(["axis": .number(Double(axis)), "count": count.json])
      ])
    case .deduplicate(let axis, let count):
      return .object([
        "deduplicate": .object(["axis": .number(Double(axis)), "count": count.json])
      ])
    }
  }
}

extension SizeExpression {
  /// A number, or the text of an expression.
  var json: JSONValue {
    if case .number(let number) = self { .number(Double(number)) } else { .string(description) }
  }

  /// Reads a number or an expression.
  init(_ json: JSONValue?) throws(TesseraError) {
    if let number = json?.number.flatMap({ Int(exactly: $0) }), number >= 0 {
      self = .number(number)
    } else if let text = json?.string {
      try self.init(parsing: text)
    } else {
      throw TesseraError.malformed("a size is a number or a text such as 'r+2*n'")
    }
  }
}

/// The arguments of an operation in JSON.
private struct RecipeArguments {
  let name: String
  let value: JSONValue

  var error: TesseraError {
    TesseraError.malformed("'\(name)' has other arguments: see recipe.schema.json")
  }

  func integer(_ json: JSONValue?) throws(TesseraError) -> Int {
    guard let number = json?.number.flatMap({ Int(exactly: $0) }), (0..<64).contains(number) else {
      throw error
    }
    return number
  }

  func integer(_ key: String) throws(TesseraError) -> Int { try integer(value[key]) }

  /// A number; nil where it is not given.
  func number(_ key: String) throws(TesseraError) -> Double? {
    guard let json = value[key] else { return nil }
    guard let number = json.number else { throw error }
    return number
  }

  func list(_ json: JSONValue?) throws(TesseraError) -> [JSONValue] {
    guard let array = json?.array else { throw error }
    return array
  }

  func integers(_ json: JSONValue?) throws(TesseraError) -> [Int] {
    var numbers: [Int] = []
    for element in try list(json) { numbers.append(try integer(element)) }
    return numbers
  }

  func sizes(_ json: JSONValue?) throws(TesseraError) -> [SizeExpression] {
    var sizes: [SizeExpression] = []
    for element in try list(json) { sizes.append(try SizeExpression(element)) }
    return sizes
  }

  var scaleAndOffset: (Double, Double) {
    get throws(TesseraError) {
      let (scale, offset) = (try number("scale") ?? 1, try number("offset") ?? 0)
      guard scale != 0, scale.isFinite, offset.isFinite else { throw error }
      return (scale, offset)
    }
  }

  var axisAndCount: (Int, SizeExpression) {
    get throws(TesseraError) { (try integer("axis"), try SizeExpression(value["count"])) }
  }

  /// Chains of operations, which stand at a depth below the whole recipe's.
  func chains(depth: Int) throws(TesseraError) -> [[RecipeOperation]] {
    var chains: [[RecipeOperation]] = []
    for chain in try list(value) {
      var steps: [RecipeOperation] = []
      for step in try list(chain) { steps.append(try RecipeOperation(step, depth: depth)) }
      chains.append(steps)
    }
    return chains
  }
}
