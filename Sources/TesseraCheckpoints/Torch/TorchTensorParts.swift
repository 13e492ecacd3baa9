import TesseraCore

// MARK: Values of several tensors

extension TorchTensorReader {
  /// A sparse tensor: `(layout, (indices, …, values, size))`, whose layout names the indices.
  func sparse(_ global: PickleGlobal, _ arguments: [PickleNode]) throws -> Finding {
    guard arguments.count >= 2, case .tuple(let parts) = tree[arguments[1]], parts.count >= 3 else {
      throw damaged(global, "lacks its parts")
    }
    let layout = layoutName(arguments[0]) ?? ""
    let names: [String]
    switch layout.split(separator: ".").last {
    case "sparse_coo": names = ["indices", "values"]
    case "sparse_csr", "sparse_bsr": names = ["crow_indices", "col_indices", "values"]
    case "sparse_csc", "sparse_bsc": names = ["ccol_indices", "row_indices", "values"]
    default:
      return .unreadable("a sparse tensor of the layout '\(layout)', which is not known here")
    }
    guard parts.count > names.count, let size = integers(parts[names.count]) else {
      throw damaged(global, "lacks its size")
    }
    var shown = zip(names, parts).map { (name: $0, part: TorchPart.node($1)) }
    let extents = size.map { UInt64(bitPattern: Int64($0)) }
    shown.append(("size", .tensor(numbers(extents, .int64, [size.count]))))
    return .parts(
      shown,
      note: "a sparse tensor (\(layout)): \(names.joined(separator: ", ")) and size"
    )
  }

  /// `torch.serialization._get_layout('torch.sparse_csr')`, or the layout as a global.
  private func layoutName(_ node: PickleNode) -> String? {
    if let global = tree.global(node) { return global.description }
    guard let record = tree.record(node), case .tuple(let arguments) = tree[record.arguments] else {
      return nil
    }
    return arguments.first.flatMap(tree.text)
  }

  /// Quantized integers with their scales: a scale and a zero point for all, or tensors of them along an
  /// axis.
  func quantized(_ global: PickleGlobal, _ arguments: [PickleNode]) throws -> Finding {
    let finding = try tensor(global.name, arguments)
    guard case .tensor(let integers) = finding else { return finding }
    guard arguments.count > 4, case .tuple(let parameters) = tree[arguments[4]],
      let scheme = parameters.first.flatMap(tree.global), parameters.count > 2
    else { throw damaged(global, "lacks scale and zero point") }
    var parts: [(name: String, part: TorchPart)] = [("", .tensor(integers))]
    if scheme.name == "per_tensor_affine", case .float(let scale) = tree[parameters[1]],
      let zeroPoint = tree.integer(parameters[2])
    {
      parts.append(("scale", .tensor(numbers([scale.bitPattern], .float64, []))))
      let bits = UInt64(bitPattern: Int64(zeroPoint))
      parts.append(("zero_point", .tensor(numbers([bits], .int64, []))))
    } else if parameters.count > 3, let axis = tree.integer(parameters[3]) {
      parts += [("scales", .node(parameters[1])), ("zero_points", .node(parameters[2]))]
      parts.append(("axis", .tensor(numbers([UInt64(bitPattern: Int64(axis))], .int64, []))))
    } else {
      return .unreadable("integers quantized by \(scheme), which is not known here")
    }
    let names = parts.dropFirst().map(\.name).joined(separator: ", ")
    return .parts(parts, note: "quantized integers as stored (\(scheme.name)), with \(names)")
  }

  /// A tensor of a few numbers of 64 bits that stand in the pickle itself.
  private func numbers(_ bits: [UInt64], _ type: ElementType, _ shape: [Int]) -> TorchTensor {
    let bytes = bits.flatMap { bits in (0..<8).map { UInt8(truncatingIfNeeded: bits >> (8 * $0)) } }
    let storage = TorchStorage(
      identity: "numbers \(bytes)",
      type: .known(type),
      byteCount: bytes.count,
      place: .memory(bytes),
      isBigEndian: false
    )
    let stored = StoredTensor(elementType: type, shape: Shape(shape))
    return TorchTensor(storage: storage, stored: stored, isShared: false)
  }
}
