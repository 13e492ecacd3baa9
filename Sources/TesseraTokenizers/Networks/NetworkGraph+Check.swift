package import TesseraCore

extension NetworkGraph {
  /// Compares the tensors that graphs need with those that there are.
  ///
  /// - Parameters:
  ///   - graphs: The graphs that share the tensors.
  ///   - shapes: Every tensor there is.
  ///   - others: Names that belong to other parts, such as the quantizer.
  /// - Returns: What is missing or misshapen, in the order of the graphs, then what is left over, by name.
  package static func mismatches(
    of graphs: [NetworkGraph],
    with shapes: [String: Shape],
    except others: Set<String> = []
  ) -> [TesseraError] {
    var left = shapes
    var errors: [TesseraError] = []
    for parameter in graphs.flatMap(\.parameters) {
      // A tensor may serve two layers.
      left[parameter.name] = nil
      guard let shape = shapes[parameter.name] else {
        errors.append(.missingParameter(name: parameter.name, expected: parameter.shape))
        continue
      }
      if shape != parameter.shape {
        errors.append(
          .misshapenParameter(name: parameter.name, shape: shape, expected: parameter.shape)
        )
      }
    }
    for (name, shape) in left.sorted(by: { $0.key < $1.key }) where !others.contains(name) {
      errors.append(.unusedParameter(name: name, shape: shape))
    }
    return errors
  }
}

extension AutoencoderConfiguration {
  /// Checks that the weights are those of both halves: nothing missing, nothing misshapen, nothing left.
  ///
  /// - Parameters:
  ///   - shapes: Every tensor of the checkpoint.
  ///   - others: Names that belong to other parts, such as the quantizer.
  /// - Throws: The first mismatch, in the order of the graphs and then of the names.
  package func check(
    shapes: [String: Shape],
    except others: Set<String> = []
  ) throws(TesseraError) {
    let graphs = [try encoderGraph(), try decoderGraph()].compactMap(\.self)
    if let first = NetworkGraph.mismatches(of: graphs, with: shapes, except: others).first {
      throw first
    }
  }
}
