import TesseraCheckpoints
import TesseraCore

/// The type of a conversion's floating-point results.
public enum WeightPrecision: String, Sendable, CaseIterable {
  /// float64.
  case f64
  /// float32.
  case f32
  /// float16, rounded to nearest even.
  case f16
  /// bfloat16, rounded to nearest even.
  case bf16
  /// GGUF's blocks of 32, for matrices.
  case q8_0

  /// The element type; nil for blocks.
  private var elementType: ElementType? {
    switch self {
    case .f64: .float64
    case .f32: .float32
    case .f16: .float16
    case .bf16: .bfloat16
    case .q8_0: nil
    }
  }

  /// What PyTorch calls the type.
  var torchName: String {
    switch self {
    case .f64: "float64"
    case .f32, .q8_0: "float32"
    case .f16: "float16"
    case .bf16: "bfloat16"
    }
  }

  /// A plan with its results in this type.
  ///
  /// - Parameters:
  ///   - plan: The plan.
  ///   - keptFloat32: Patterns of the names of results that stay float32.
  /// - Returns: The plan, and the names of the results that become blocks.
  /// - Throws: `TesseraError` where a pattern fits no name.
  func applied(
    to plan: ConversionPlan,
    keeping keptFloat32: [String]
  ) throws -> (plan: ConversionPlan, quantized: Set<String>) {
    let patterns = keptFloat32.map { NameGlob($0) }
    for pattern in patterns where !plan.outputs.contains(where: { pattern.matches($0.tensor.name) })
    {
      let cause = "--keep-f32 '\(pattern.text)' fits no name of the result"
      throw TesseraError.selection(cause, among: plan.outputs.map(\.tensor.name))
    }
    let kept = Set(
      plan.outputs.map(\.tensor.name).filter { name in patterns.contains { $0.matches(name) } }
    )
    let wide = try plan.casting(to: .float32) { !kept.contains($0) }
    if let type = elementType {
      return (try wide.casting(to: type) { kept.contains($0) }, [])
    }
    // As llama.cpp does it: vectors stay float32, rows that are no whole blocks become halves.
    let float32 = try wide.casting(to: .float32)
    let matrices = float32.outputs.map(\.tensor).filter {
      $0.elementType == .float32 && $0.shape.rank > 1 && !kept.contains($0.name)
        && !plan.keptTypes.contains($0.name)
    }
    let quantized = Set(matrices.filter(\.isBlocked).map(\.name))
    let halves = Set(matrices.map(\.name)).subtracting(quantized)
    return (try float32.casting(to: .float16) { !halves.contains($0) }, quantized)
  }
}
