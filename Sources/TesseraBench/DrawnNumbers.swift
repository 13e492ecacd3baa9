import TesseraCore
import TesseraTokenizers

/// Weights and inputs for measurements, drawn from an integer hash, so that a peer in another language draws
/// the same (`draw` and `parameter` of fixtures/network/make.py).
enum DrawnNumbers {
  /// Numbers in [-1, 1): splitmix64 from the hash (FNV-1a) of the name, the top 24 bits of each.
  static func values(_ name: String, count: Int) -> [Float] {
    var state: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in name.utf8 { state = (state ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return (0..<count).map { _ in
      state &+= 0x9e37_79b9_7f4a_7c15
      var x = state
      x = (x ^ (x >> 30)) &* 0xbf58_476d_1ce4_e5b9
      x = (x ^ (x >> 27)) &* 0x94d0_49bb_1331_11eb
      x ^= x >> 31
      return Float(x >> 40) / 8_388_608 - 1
    }
  }

  /// A network whose norms scale by about 1 and whose convolutions keep the variance.
  static func network(_ graph: NetworkGraph) throws -> ConvolutionalNetwork {
    let shapes = Dictionary(graph.parameters.map { ($0.name, $0.shape) }) { first, _ in first }
    return try ConvolutionalNetwork(graph) { name in
      guard let shape = shapes[name] else { return nil }
      return (shape, parameter(name, shape))
    }
  }

  private static func parameter(_ name: String, _ shape: Shape) -> [Float] {
    let values = values(name, count: shape.elementCount ?? 0)
    if name.contains(".norm") {
      let mean: Float = name.hasSuffix("weight") ? 1 : 0
      return values.map { $0 * 0.375 + mean }
    }
    if name.hasSuffix("bias") { return values.map { $0 * 0.125 } }
    let inputs = shape.dimensions.dropFirst().reduce(1, *)
    let scale = Float((3 / Double(inputs)).squareRoot())
    return values.map { $0 * scale }
  }
}
